"""What the agent can do. `find_order` only reads; `refund` has an effect, so a person is asked first."""

from __future__ import annotations

from typing import Annotated, Any

from langchain_core.tools import InjectedToolCallId, ToolException, tool
from langgraph.types import interrupt

# Where your shop's database would be asked.
ORDERS = {
    "4711": {"item": "a reading lamp", "price": 42.0, "state": "returned on Monday"},
    "4712": {"item": "two cushions", "price": 36.5, "state": "on its way, due on Friday"},
}


@tool
async def find_order(order_id: str) -> str:
    """Look up an order by its number: what was bought, its price and where it is."""
    order = _order(order_id)
    return f"Order {order_id}: {order['item']}, {order['price']:.2f} EUR, {order['state']}."


@tool
async def refund(order_id: str, tool_call_id: Annotated[str, InjectedToolCallId]) -> str:
    """Refund an order in full. A person approves it first."""
    amount = f"{_order(order_id)['price']:.2f} EUR"
    # All in front of this line is done again when the answer comes: no effects there.
    answer = interrupt({"question": f"Refund {amount} for order {order_id}?", "tool": "refund", "id": tool_call_id})
    if not (isinstance(answer, dict) and answer.get("approved") is True):
        return f"Not refunded: a person declined the refund of {amount} for order {order_id}."
    # A step is done at least once. Give this key to the payment service, so that it pays once.
    return f"Refunded {amount} for order {order_id}. Reference: {tool_call_id}."


TOOLS = [find_order, refund]


def _order(order_id: str) -> dict[str, Any]:
    order = ORDERS.get(order_id.strip().lstrip("#"))
    if order is None:
        raise ToolException(f"There is no order {order_id}: ask for its number, which has four digits.")
    return order
