"""Judging of chains: each is fitted to some labelled rows and judged on others, which it has not learnt."""
