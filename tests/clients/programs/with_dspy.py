"""What an application does with DSPy: it asks over two APIs, and is refused.

Arguments: URL KEY NAMES, the last a JSON list of the names of two models each.
"""

import json
import sys

import dspy

URL, KEY, NAMES = sys.argv[1:]

for text, error in json.loads(NAMES):
    for kind in ("openai", "anthropic"):
        model = dspy.LM(f"{kind}/{text}", api_base=f"{URL}/v1", api_key=KEY, num_retries=0, cache=False)
        print("said:", model("Say hello")[0])
    try:
        dspy.LM(f"openai/{error}", api_base=f"{URL}/v1", api_key=KEY, num_retries=0, cache=False)("Say hello")
    except Exception as refused:  # noqa: BLE001 - it has LiteLLM's
        print("refused:", getattr(refused, "status_code", refused))
