"""What an application does with instructor: it gets objects, whole and in parts, and is refused.

Arguments: URL KEY NAMES, the last a JSON list of the names of three models each."""

import json
import sys

import instructor
from instructor.core import InstructorRetryException
from openai import OpenAI
from pydantic import BaseModel

URL, KEY, NAMES = sys.argv[1:]


class Place(BaseModel):
    city: str
    people: int


client = OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
for name, _, error in json.loads(NAMES):
    for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA):
        ask = instructor.from_openai(client, mode=mode).chat.completions
        wish = {"model": name, "messages": [{"role": "user", "content": "Where?"}], "response_model": Place}
        print("said:", ask.create(**wish))
        print("streamed:", list(ask.create_partial(**wish))[-1])
        try:
            ask.create(**{**wish, "model": error}, max_retries=0)
        except InstructorRetryException as refused:
            print("refused:", "context length" in str(refused) or "too long" in str(refused) or refused)
