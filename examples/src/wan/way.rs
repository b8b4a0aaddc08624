use link_quic::Congestion;

/// What runs over a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// A link over QUIC.
    QuicCubic,
    /// A link over QUIC.
    QuicBbr,
    /// One stream of plain quinn, with the windows of the link.
    QuinnCubic,
    /// One stream of plain quinn, with the windows of the link.
    QuinnBbr,
    /// A link over MQTT to the `mqtt5` broker.
    MqttCubic,
    /// A link over MQTT to the `mqtt5` broker.
    MqttBbr,
    /// One TCP connection.
    TcpCubic,
    /// One TCP connection.
    TcpBbr,
}

impl Way {
    /// In the order of tables.
    pub const ALL: [Self; 8] = [
        Self::QuicCubic,
        Self::QuicBbr,
        Self::QuinnCubic,
        Self::QuinnBbr,
        Self::MqttCubic,
        Self::MqttBbr,
        Self::TcpCubic,
        Self::TcpBbr,
    ];

    /// For readers.
    pub fn name(self) -> &'static str {
        match self {
            Self::QuicCubic => "link over QUIC, cubic",
            Self::QuicBbr => "link over QUIC, BBR",
            Self::QuinnCubic => "plain quinn, cubic",
            Self::QuinnBbr => "plain quinn, BBR",
            Self::MqttCubic => "link over MQTT, cubic",
            Self::MqttBbr => "link over MQTT, BBR",
            Self::TcpCubic => "plain TCP, cubic",
            Self::TcpBbr => "plain TCP, BBR",
        }
    }

    /// The plain stream beside which a link is judged.
    pub fn raw(self) -> Option<Self> {
        match self {
            Self::QuicCubic => Some(Self::QuinnCubic),
            Self::QuicBbr => Some(Self::QuinnBbr),
            Self::MqttCubic => Some(Self::TcpCubic),
            Self::MqttBbr => Some(Self::TcpBbr),
            _ => None,
        }
    }

    /// How QUIC finds its rate.
    pub(super) fn congestion(self) -> Congestion {
        if self.is_bbr() { Congestion::Bbr } else { Congestion::Cubic }
    }

    /// As Linux names TCP's congestion control.
    pub(super) fn tcp(self) -> &'static str {
        if self.is_bbr() { "bbr" } else { "cubic" }
    }

    fn is_bbr(self) -> bool {
        matches!(self, Self::QuicBbr | Self::QuinnBbr | Self::MqttBbr | Self::TcpBbr)
    }
}
