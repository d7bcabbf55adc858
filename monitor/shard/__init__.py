"""The shard: counts calls in panes, keeps each tenant's standing, decides."""
