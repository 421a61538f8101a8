"""The registry of policies, and how to write one.

A policy is one file in `gslb/steering/policies/`: a module docstring (what it does, its source) and one
`@dataclass(frozen=True, slots=True)` under `@POLICIES.register("its-name")`. The fields are the options, with defaults
and `annotated_types` bounds; configuration validates what people write from them. The methods are those of
`gslb.model.Policy`; a policy whose options name regions also has `regions_named()`, so that configuration can check
them against the service. A policy is pure, and its `repr` says all its options (a dataclass's does).

For `gslb.config`, the engine, the docs and the tests.
"""

from __future__ import annotations

from gslb.model import Policy
from gslb.registry import Registry

POLICIES: Registry[Policy] = Registry("policy", "gslb.steering.policies")
