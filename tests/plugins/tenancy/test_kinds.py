from typing import ClassVar

from switchgear.testing.ambient import FixedAmbient
from switchgear.testing.kind_suite import ResourceKindSuite
from switchgear_plugins.tenancy.passwords import Passwords
from switchgear_plugins.tenancy.teams import teams
from switchgear_plugins.tenancy.users import Users

HASH = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21l$0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"


class TestTeams(ResourceKindSuite):
    kind: ClassVar = teams()
    examples: ClassVar = (
        {"name": "Red", "permissions": {"models": ["a*"]}, "keys_per_member": 3, "metadata": {"cost": "42"}},
        {"name": "Blue", "status": "suspended", "members_may_create_keys": False},
    )


class TestUsers(ResourceKindSuite):
    kind: ClassVar = Users(FixedAmbient(), Passwords(1), dict, lambda: None, 1).kind()
    examples: ClassVar = (
        {"username": "ann", "team_id": "red", "password_hash": HASH, "email": "ann@example.com"},
        {"username": "otto", "team_id": "red", "role": "owner", "issuer": "https://idp.example", "subject": "7"},
    )
    secret_values: ClassVar = (HASH,)
    inputs: ClassVar = {"sign-out": {"session": "s"}}
