//! Links that must not come up, and what both sides say about it.

use link_core::link::{LinkConfig, LinkState, LinkStatus};
use link_quic::development::DevelopmentCa;

use super::{
    Failed, Outcome, Report, World,
    carrier::{Credential, Means, over_quic, settings},
    ensure, everything, region,
};

/// A user that `us` lets in, for peers that log in well and are wrong all the same.
pub(super) const USER: (&str, &str) = ("link-guest", "link-guest-pass");

/// `ap` dials `us` with a wrong password, or with the certificate of `eu`.
pub(super) async fn wrong_credential(world: &World, report: &mut Report) -> Outcome {
    let word = match world.means {
        Means::Mqtt { .. } => "password",
        Means::Quic { .. } => "`eu` may not speak for cluster `ap`",
    };
    let me = Credential { user: (USER.0, "wrong"), certificate: "eu" };
    let guest = Guest { name: "ap", link: world.means.dials(world.means.address(), "us", &me)?, there: word };
    let (there, here) = guest.refused_by_both(world, report, word).await?;
    Ok(format!("at ap: {there}; at us: {here}"))
}

/// `mars` dials `us` and takes it for `venus`.
pub(super) async fn wrong_name(world: &World, report: &mut Report) -> Outcome {
    let me = Credential { user: USER, certificate: "mars" };
    let mut link = world.means.dials(world.means.address(), "venus", &me)?;
    if let Some(tls) = &mut link.tls {
        // Without it `mars` finds out by itself that the certificate is not one of `venus`.
        tls.server_name = Some("us".to_owned());
    }
    let guest = Guest { name: "mars", link, there: "venus" };
    let (there, here) = guest.refused_by_both(world, report, "venus").await?;
    Ok(format!("at mars: {there}; at us: {here}"))
}

/// `ap` dials `us` with a certificate that says so, by an authority that `us` does not trust. Nobody at `us` can say
/// whom that was.
pub(super) async fn wrong_authority(world: &World, report: &mut Report) -> Outcome {
    let ca = DevelopmentCa::new().map_err(|error| Failed::Wrong(error.to_string()))?;
    let mut tls = settings(&ca, "ap")?;
    if let Means::Quic { ca, .. } = &world.means {
        tls.ca = settings(ca, "ap")?.ca;
    }
    let link = LinkConfig { topics: vec![everything()?], ..LinkConfig::new(region::cluster("us")) };
    let guest =
        Guest { name: "ap", link: over_quic(link, world.means.address(), tls), there: "invalid peer certificate" };
    let at_guest = guest.refused(world, report).await?;
    Ok(format!("at ap: {}", at_guest.reason))
}

/// A region that comes with wrong settings.
struct Guest {
    name: &'static str,
    link: LinkConfig,
    /// What its status must say.
    there: &'static str,
}

impl Guest {
    /// Lets it dial; gives the reasons of both sides. Each must contain its word.
    async fn refused_by_both(self, world: &World, report: &mut Report, here: &str) -> Result<(String, String), Failed> {
        let (us, name) = (world.us.linker(), self.name);
        us.create_link(world.means.waiting(name, USER.0, vec![everything()?])).await?;
        let at_guest = self.refused(world, report).await?;
        let at_us = world.us.status(name, "knows of a refusal", |status| status.last_refusal.is_some()).await?;
        let reason = at_us.last_refusal.unwrap_or_default();
        report.say(format!("status at us: {}: {reason}", at_us.state));
        ensure(reason.to_lowercase().contains(here), || format!("the reason at us does not say `{here}`: {reason}"))?;
        us.delete_link(&region::cluster(name)).await?;
        Ok((at_guest.reason, reason))
    }

    /// Lets it dial; gives its status, which must contain the word.
    async fn refused(self, world: &World, report: &mut Report) -> Result<LinkStatus, Failed> {
        let Self { name, link, there } = self;
        let expects = link.name.to_string();
        let guest = world.means.dialling(name, &[], 0).await?;
        guest.linker().create_link(link).await?;
        let status = guest.status(&expects, "is refused", |status| status.state == LinkState::Refused).await?;
        report.say(format!("status at {name}: {}: {}", status.state, status.reason));
        let said = status.reason.to_lowercase();
        ensure(said.contains(there), || format!("the reason at {name} does not say `{there}`: {said}"))?;
        guest.stop().await;
        Ok(status)
    }
}
