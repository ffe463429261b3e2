"""Piles as folders of shards: read, worked off and written shard by shard, by any engine."""
