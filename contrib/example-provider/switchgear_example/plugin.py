from switchgear import NoSettings, Offer, Plugin
from switchgear.contracts.provider import Provider
from switchgear_example.provider import ExampleProvider, ExampleSettings


class ExamplePlugin(Plugin[NoSettings]):
    api = 1

    def switchgear_providers(self) -> list[Offer[Provider]]:
        return [Offer("example", ExampleProvider, ExampleSettings, "A made-up wire format")]
