from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult


class Scripted(GenericFakeChatModel):
    """Calls its one tool, and then says that it is done."""

    messages: object = iter(())
    tool: str = ""
    says: str = ""

    def bind_tools(self, tools, **kwargs):
        return self

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        called = any(isinstance(message, ToolMessage) and message.name == self.tool for message in messages)
        call = {"name": self.tool, "args": {}, "id": f"call-{self.tool}"}
        message = AIMessage(self.says) if called or not self.tool else AIMessage("", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(self, *args, **kwargs):
        raise NotImplementedError
