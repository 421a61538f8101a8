"""The load balancing algorithms, one file each; `balancing.algorithm.ALGORITHMS` finds them by name."""
