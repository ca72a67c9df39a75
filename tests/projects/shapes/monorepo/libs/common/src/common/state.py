from typing import TypedDict


class Ticket(TypedDict, total=False):
    text: str
    answer: str
