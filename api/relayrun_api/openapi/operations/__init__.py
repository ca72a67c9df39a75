"""The document's operations, by resource; an operation without a word here is one that a test finds."""

from relayrun_api.openapi.operation import Operations
from relayrun_api.openapi.operations import assistants, chat, crons, protocol, runs, states, store, system, threads

OPERATIONS: Operations = {
    route: operation
    for module in (chat, threads, states, runs, crons, assistants, store, protocol, system)
    for route, operation in module.OPERATIONS.items()
}
