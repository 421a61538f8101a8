"""The policies, one file each; `gslb.steering.policy.POLICIES` finds them here."""
