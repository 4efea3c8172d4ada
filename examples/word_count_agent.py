"""An agent as a third party writes it. With COORDINATOR_URL set it registers itself when it starts, and the
next task can use it: `COORDINATOR_URL=http://127.0.0.1:8000 python -m examples.word_count_agent`."""

import re

from a2a import Agent, InputRequired, Request

agent = Agent(name="Word counter", description="Counts words.", version="1.0.0", url="http://127.0.0.1:8010")


@agent.skill(
    id="count_words",
    description="Count the words of a text or an attached file",
    tags=["count", "words", "length"],
    examples=["count the words of: to be or not to be", "how many words are in the attached file"],
    input_modes=["text/plain", "text/markdown"],
)
async def count_words(request: Request) -> str:
    files = [part.content().decode(errors="replace") for part in request.attachments]
    said = request.text if request.history else "".join(re.findall('[:"](.+)', request.text))
    text = "\n".join(files) or said
    if not text.strip():
        raise InputRequired("Which text?")
    return f"{len(text.split()):,} words"


app = agent.app()

if __name__ == "__main__":
    agent.run(port=8010)
