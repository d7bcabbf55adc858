"""The Faust shell: Callwarden's workers on a Kafka cluster. All that decides lies in `monitor`."""
