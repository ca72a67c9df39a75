"""Answers to questions: how many a task has recorded, which decides whether one may be sent again."""

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

# LangGraph keeps a task's answers in one pending write, and writes all of them anew with each.
_RECORDED = """
SELECT type, blob FROM checkpoint_writes
WHERE thread_id = %s AND task_id = %s AND channel = '__resume__' ORDER BY checkpoint_id DESC LIMIT 1"""


async def recorded_answers(saver: AsyncPostgresSaver, thread_id: str, task_id: str) -> int:
    """How many answers to its questions the task has recorded, read through the saver's own connection."""
    async with saver._cursor() as cursor:  # the saver's only way to its connection
        await cursor.execute(_RECORDED, (thread_id, task_id))
        row = await cursor.fetchone()
    if row is None:
        return 0
    value = saver.serde.loads_typed((row["type"], row["blob"]))
    return len(value) if isinstance(value, list) else 1
