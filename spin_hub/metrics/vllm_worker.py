"""The process in which vLLM writes answers: when it ends, the device's memory is free again.

Called with one argument, a JSON file: ``model``, a folder; ``prompts``, lists of tokens; ``ends``, tokens that end an
answer; ``new_tokens``; ``output``, the file for the answers, a JSON list of lists of tokens.
"""

import json
import sys
from pathlib import Path


def main(request: Path) -> None:
    """Write the answers of one request."""
    from vllm import LLM, SamplingParams

    asked = json.loads(request.read_text("utf-8"))
    # Without "vllm" for the settings, those of the checkpoint would fill every gap, sampling among them.
    engine = LLM(model=asked["model"], generation_config="vllm")
    greedy = SamplingParams(temperature=0.0, max_tokens=asked["new_tokens"], stop_token_ids=asked["ends"])
    answers = engine.generate([{"prompt_token_ids": tokens} for tokens in asked["prompts"]], greedy)
    tokens = [list(answer.outputs[0].token_ids) for answer in answers]
    Path(asked["output"]).write_text(json.dumps(tokens), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
