"""What aiokafka 0.14 knows of a consumer and tells nobody: private names, in one place."""

from aiokafka import AIOKafkaConsumer, TopicPartition


def position(client: AIOKafkaConsumer, tp: TopicPartition) -> int | None:
    """The client's position now; None where it has none: not assigned, or in a rebalance before its callback.

    `AIOKafkaConsumer.position` would wait for one.
    """
    subscriptions = client._subscription
    if not subscriptions.is_assigned(tp):
        return None
    state = subscriptions.subscription.assignment.state_value(tp)
    return int(state.position) if state.has_valid_position else None


def fetching_has_ended(client: AIOKafkaConsumer) -> bool:
    """Whether the client's task that fetches has died: then it fetches no more, and nobody is told."""
    return client._fetcher is not None and bool(client._fetcher.error_future.done())
