"""Which SERVER of a pool takes a request: routes, pools, algorithms and the bounds on trying again. All core.

The proxy shell calls `routes.Router`, `pool.PoolState` and `exchange.Exchange`; configuration asks
`algorithm.ALGORITHMS` for what an algorithm's name means.
"""
