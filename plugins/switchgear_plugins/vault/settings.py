from typing import Literal

from msgspec import Struct

Method = Literal["token", "approle", "kubernetes"]


class VaultSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How Vault is reached and how the gateway logs in there.

    url                  of the server (`https://vault.example.com:8200`)
    namespace            the one to log in to, and to read from where a credential names no other
    mount                of the KV version 2 engine, where a credential names no other
    ca_bundle            PEM file of the authority of its certificate; the system's if left out
    auth, auth_mount     the way to log in, and where it is mounted if not under its own name
    token, token_file    for `token`: one of the two; the file is read at every login
    role_id, secret_id, secret_id_file  for `approle`; no secret id where the role binds none, the file as above
    role, jwt_file       for `kubernetes`: Vault's role and the file of the service account's token
    """

    url: str
    namespace: str | None = None
    mount: str = "secret"
    ca_bundle: str | None = None
    auth: Method = "token"
    auth_mount: str | None = None
    token: str | None = None
    token_file: str | None = None
    role_id: str | None = None
    secret_id: str | None = None
    secret_id_file: str | None = None
    role: str | None = None
    jwt_file: str = "/var/run/secrets/kubernetes.io/serviceaccount/token"

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise ValueError("`url` is an https:// or http:// address, as https://vault.example.com:8200")
        for name, path in (("mount", self.mount), ("auth_mount", self.auth_mount), ("namespace", self.namespace)):
            check_path(name, path)
        if self.auth == "token" and (self.token is None) == (self.token_file is None):
            raise ValueError('`auth = "token"` takes one of `token` and `token_file`')
        if self.auth == "approle" and self.role_id is None:
            raise ValueError('`auth = "approle"` takes `role_id`, and `secret_id` or `secret_id_file`')
        if self.secret_id is not None and self.secret_id_file is not None:
            raise ValueError("Say `secret_id` or `secret_id_file`, not both")
        if self.auth == "kubernetes" and self.role is None:
            raise ValueError('`auth = "kubernetes"` takes `role`')

    def __repr__(self) -> str:
        return f"VaultSettings({self.url}, {self.auth})"


def check_path(name: str, path: str | None) -> None:
    """Raise `ValueError` unless `path` is none, or segments between single slashes of which none leads elsewhere."""
    if path is None:
        return
    printable = path.isprintable() and (path.isascii() or name != "namespace")  # a namespace travels in a header
    if not printable or any(segment in {"", ".", ".."} for segment in path.split("/")):
        raise ValueError(f"`{name}` is names between single slashes, as team/app: none of them empty, `.` or `..`")
