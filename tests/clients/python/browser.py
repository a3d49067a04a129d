"""The person at the browser: who runs the script opens what is printed."""

import sys


def answer_to(url: str) -> str:
    """Has `url` opened, and returns the URL at which the client is answered."""
    print(f"open {url}", flush=True)
    line = sys.stdin.readline().strip()
    assert line, "expected the URL of the answer, found the end of the input"
    return line


def approve(url: str) -> None:
    """Has the device let in that shows `url`."""
    print(f"approve {url}", flush=True)
    assert sys.stdin.readline().strip() == "approved"


def done() -> None:
    """Says that every assertion was reached."""
    print("done", flush=True)
