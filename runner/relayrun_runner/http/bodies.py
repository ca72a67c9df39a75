"""The bodies of PUT /runs/{run} and POST /runs/{run}/finish."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from relayrun_core.runs import NewRun, ObjectRef, RunSpec
from relayrun_core.states import Reason
from relayrun_runner.runs.assign import Wish


class NewBody(BaseModel):
    """`create` in the body of a PUT: a run whose payload came with its AgentRun."""

    model_config = ConfigDict(extra="ignore")

    thread_id: UUID
    thread_name: str | None = None
    owner: str | None = None
    agent: str
    spec: RunSpec
    object: ObjectRef | None = None


class FinishBody(BaseModel):
    """The body of POST /runs/{run}/finish."""

    model_config = ConfigDict(extra="ignore")

    reason: Reason
    message: str = ""


class PutBody(BaseModel):
    """The body of PUT /runs/{run}; what else a newer caller sends is ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    attempt: int = Field(ge=1, le=2**31 - 1)
    excused: bool = False
    alone: bool = False
    graph: str | None = None
    create: NewBody | None = None

    def wish(self, run_id: UUID) -> Wish:
        """What the assigner is asked for."""
        new = self.create
        create = None
        if new is not None:
            create = NewRun(
                run_id=run_id,
                thread_id=new.thread_id,
                agent=new.agent,
                graph=self.graph or "",
                spec=new.spec,
                owner=new.owner,
                thread_name=new.thread_name,
                object=new.object,
            )
        return Wish(self.attempt, excused=self.excused, alone=self.alone, graph=self.graph, create=create)
