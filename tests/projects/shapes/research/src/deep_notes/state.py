import operator
from typing import Annotated, TypedDict

from pydantic import BaseModel, Field


class Section(BaseModel):
    name: str = Field(description="What the section is called")
    words: int = 0


class Plan(BaseModel):
    sections: list[Section]


class ReportInput(TypedDict):
    topic: str


class ReportOutput(TypedDict):
    report: str


class Report(TypedDict, total=False):
    topic: str
    plan: Plan
    done: Annotated[list[Section], operator.add]
    report: str
