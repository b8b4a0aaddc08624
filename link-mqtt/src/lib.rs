//! Carries a cluster link over MQTT 5.
