from msgspec import Struct


class AwsSecretsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How Secrets Manager is reached, where a credential does not say otherwise.

    region        the AWS region; the one of the AWS configuration (AWS_REGION, the profile) if left out
    profile       of ~/.aws/config, for the gateway's own identity; the standard chain if left out
    endpoint_url  instead of the public endpoint of the region: a VPC endpoint
    """

    region: str | None = None
    profile: str | None = None
    endpoint_url: str | None = None

    def __post_init__(self) -> None:
        if self.endpoint_url is not None and not self.endpoint_url.startswith(("https://", "http://")):
            raise ValueError("`endpoint_url` is an https:// or http:// address")
