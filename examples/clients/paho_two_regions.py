"""Publishes at one region and receives at the other, with Eclipse Paho: a client that this project did not write.

    two_regions --stay --no-checks            prints the two ports
    python paho_two_regions.py --us PORT --eu PORT
"""

import argparse
import queue
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

PATIENCE = 20.0


class Client:
    """A connected client; every step waits for the broker's answer."""

    def __init__(self, region: str, port: int, name: str) -> None:
        self.inbox: queue.Queue[mqtt.MQTTMessage] = queue.Queue()
        self.connected = threading.Event()
        self.subscribed = threading.Event()
        self.refused: str | None = None
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, f"paho-{name}", protocol=mqtt.MQTTv5)
        self.client.username_pw_set(f"{region}-user", f"{region}-pass")
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = lambda _client, _data, message: self.inbox.put(message)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        check(self.connected.wait(PATIENCE) and not self.refused, f"{name} connects ({self.refused})")

    def _on_connect(self, _client, _data, _flags, reason, _properties) -> None:
        if reason.is_failure:
            self.refused = str(reason)
        self.connected.set()

    def _on_subscribe(self, _client, _data, _mid, reasons, _properties) -> None:
        if any(reason.is_failure for reason in reasons):
            self.refused = str(reasons)
        self.subscribed.set()

    def subscribe(self, topic: str) -> None:
        self.subscribed.clear()
        self.client.subscribe(topic, options=SubscribeOptions(qos=2, retainAsPublished=True))
        check(self.subscribed.wait(PATIENCE) and not self.refused, f"subscribing {topic} ({self.refused})")

    def publish(self, topic: str, payload: str, qos: int, retain: bool = False, properties=None) -> None:
        sent = self.client.publish(topic, payload, qos, retain, properties)
        sent.wait_for_publish(PATIENCE)
        check(sent.is_published(), f"publishing to {topic}")

    def receive(self, within: float = PATIENCE) -> mqtt.MQTTMessage | None:
        try:
            return self.inbox.get(timeout=within)
        except queue.Empty:
            return None

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def check(holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"FAILED: {what}")


def properties() -> Properties:
    sent = Properties(PacketTypes.PUBLISH)
    sent.PayloadFormatIndicator = 1
    sent.ContentType = "text/plain"
    sent.ResponseTopic = "answers"
    sent.CorrelationData = b"\x00\xff"
    sent.MessageExpiryInterval = 120
    sent.UserProperty = [("key", "1"), ("other", "\u00e9"), ("key", "2")]
    return sent


def crossing(source: str, source_port: int, target: str, target_port: int) -> None:
    """Everything that is published at `source` arrives at `target` as it was sent, once."""
    publisher = Client(source, source_port, f"publisher-{source}")
    subscriber = Client(target, target_port, f"subscriber-{target}")
    topic = f"ci/paho/from-{source}"
    subscriber.subscribe(f"{topic}/#")
    for _ in range(100):
        publisher.publish(f"{topic}/ready", "ready", 0)
        if subscriber.receive(0.2):
            break
    else:
        sys.exit(f"FAILED: nothing published at {source} reaches {target}")

    for qos in (0, 1, 2):
        for retain in (False, True):
            payload = f"qos {qos} retain {retain}"
            publisher.publish(f"{topic}/all", payload, qos, retain, properties())
            got = subscriber.receive()
            while got and got.topic.endswith("/ready"):
                got = subscriber.receive()
            check(got is not None, f"{payload} arrives")
            seen = (got.topic, got.payload.decode(), got.qos, bool(got.retain))
            check(seen == (f"{topic}/all", payload, qos, retain), f"{payload} arrived as {seen}")
            expected, have = properties().json(), got.properties.json()
            expiry = have.pop("MessageExpiryInterval")
            check(115 <= expiry <= expected.pop("MessageExpiryInterval"), f"the expiry arrived as {expiry}")
            check(have == expected, f"the properties arrived as {have}")
    check(subscriber.receive(0.5) is None, "each message arrives once")

    late = Client(target, target_port, f"late-{target}")
    late.subscribe(f"{topic}/all")
    kept = late.receive()
    check(kept is not None and kept.retain and kept.payload == b"qos 2 retain True", "the retained message is kept")
    for client in (publisher, subscriber, late):
        client.close()
    print(f"from {source} to {target}: QoS 0, 1, 2, all properties, the retain flag, a retained message: as sent, once")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--us", type=int, required=True, help="port of the broker us")
    arguments.add_argument("--eu", type=int, required=True, help="port of the broker eu")
    ports = arguments.parse_args()
    crossing("us", ports.us, "eu", ports.eu)
    crossing("eu", ports.eu, "us", ports.us)


if __name__ == "__main__":
    main()
