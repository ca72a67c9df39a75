"""Authenticates calls of agents' own code: checks the runner's credential, and reads the owner from the run."""

import time
from collections.abc import Callable

from starlette.requests import HTTPConnection

from relayrun_api.auth.principal import Principal
from relayrun_api.http.errors import Unauthenticated
from relayrun_api.http.shares import CALLED_BY_AGENT
from relayrun_core.database import Database
from relayrun_core.db.runs import get_run
from relayrun_core.loopback import HEADER, Caller, InvalidCredential, Signer
from relayrun_core.rotating import RotatingSecret
from relayrun_core.states import RunStatus

_VERIFIED = "relayrun.loopback"


class OwnCalls:
    """Knows the callers that send a credential of a runner."""

    def __init__(self, database: Database, tokens: RotatingSecret, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._tokens = tokens
        self._clock = clock

    async def caller(self, connection: HTTPConnection) -> Principal | None:
        """The caller; None where no credential is sent. Raises Unauthenticated.

        A run's code acts as the run's owner, with no more than the run itself has: an admin's run is no admin.
        """
        credential = connection.headers.get(HEADER)
        if credential is None or not (tokens := self._tokens.all()):
            return None
        caller = self._verified(connection, credential, Signer(*tokens))
        if caller.run_id is None:
            CALLED_BY_AGENT.set(True)
            return Principal(owner=None, admin=True, is_agent=True)
        run = await get_run(self._database, caller.run_id)
        if run is None or run.status is not RunStatus.RUNNING or run.attempt != caller.attempt:
            raise _refusal(f"attempt {caller.attempt} of run {caller.run_id} no longer runs")
        return Principal(run.owner, user=run.spec.user)

    def _verified(self, connection: HTTPConnection, credential: str, signer: Signer) -> Caller:
        known: dict[str, Caller] = connection.scope.setdefault(_VERIFIED, {})
        if credential not in known:  # a stream is asked again who reads it, long after its beginning
            try:
                known[credential] = signer.verify(credential, self._clock())
            except InvalidCredential as error:
                raise _refusal(str(error)) from error
        return known[credential]


def _refusal(why: str) -> Unauthenticated:
    return Unauthenticated(f"The credential of this call of an agent's own code is not valid: {why}.")
