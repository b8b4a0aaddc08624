//! Links that must not come up, and what both sides say about it.

use link_core::link::{LinkConfig, LinkState, Secret};

use super::{Failed, Outcome, Region, Report, World, ensure, everything, loopback, region};

/// A user that `us` lets in, for peers that log in well and are wrong all the same.
pub(super) const USER: (&str, &str) = ("link-guest", "link-guest-pass");

/// `ap` dials `us` with a wrong password.
pub(super) async fn wrong_password(world: &World, report: &mut Report) -> Outcome {
    let guest = Guest { name: "ap", expects: "us", password: "wrong", known_as: "ap" };
    let (there, here) = guest.refused(world, report, "password", "password").await?;
    Ok(format!("at ap: {there}; at us: {here}"))
}

/// `mars` dials `us` and takes it for `venus`.
pub(super) async fn wrong_name(world: &World, report: &mut Report) -> Outcome {
    let guest = Guest { name: "mars", expects: "venus", password: USER.1, known_as: "mars" };
    let (there, here) = guest.refused(world, report, "venus", "venus").await?;
    Ok(format!("at mars: {there}; at us: {here}"))
}

/// A region that comes with wrong settings.
struct Guest {
    name: &'static str,
    expects: &'static str,
    password: &'static str,
    known_as: &'static str,
}

impl Guest {
    /// Lets it dial; gives the reasons of both sides. Each must contain its word.
    async fn refused(
        &self,
        world: &World,
        report: &mut Report,
        there: &str,
        here: &str,
    ) -> Result<(String, String), Failed> {
        let us = world.us.linker();
        let known = LinkConfig {
            topics: vec![everything()?],
            peer_identity: Some(USER.0.to_owned()),
            ..LinkConfig::new(region::cluster(self.known_as))
        };
        us.create_link(known).await?;
        let guest = Region::start(self.name, loopback(0), &[]).await?;
        let link = LinkConfig {
            servers: vec![region::endpoint(world.us.address())],
            topics: vec![everything()?],
            username: Some(USER.0.to_owned()),
            password: Some(Secret::new(self.password)),
            ..LinkConfig::new(region::cluster(self.expects))
        };
        guest.linker().create_link(link).await?;
        let expected = "is refused";
        let at_guest = guest.status(self.expects, expected, |status| status.state == LinkState::Refused).await?;
        report.say(format!("status at {}: {}: {}", self.name, at_guest.state, at_guest.reason));
        let at_us =
            world.us.status(self.known_as, "knows of a refusal", |status| status.last_refusal.is_some()).await?;
        let reason = at_us.last_refusal.unwrap_or_default();
        report.say(format!("status at us: {}: {reason}", at_us.state));
        let (said, word) = (at_guest.reason.to_lowercase(), there.to_lowercase());
        ensure(said.contains(&word), || format!("the reason at {} does not say `{there}`: {said}", self.name))?;
        ensure(reason.to_lowercase().contains(here), || format!("the reason at us does not say `{here}`: {reason}"))?;
        us.delete_link(&region::cluster(self.known_as)).await?;
        guest.stop().await;
        Ok((at_guest.reason, reason))
    }
}
