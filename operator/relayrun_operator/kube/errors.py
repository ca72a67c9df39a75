"""The operator's exceptions on Kubernetes, the API server's refusals among them."""

from relayrun_core.errors import RelayrunError


class KubeError(RelayrunError):
    """The API server refused a request; `message` is its own sentence. `status` 0: it did not answer."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def not_found(self) -> bool:
        """There is no such object, or no such kind."""
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """The object has changed since, or exists already."""
        return self.status == 409

    @property
    def refused(self) -> bool:
        """Asking again will not help by itself: quota, admission, rights, an invalid object."""
        return self.status in (400, 403, 422)


class NotLeading(KubeError):
    """This replica's Lease has run out: it must not tell runners or objects anything."""

    def __init__(self) -> None:
        super().__init__(0, "NotLeading", "this replica's Lease has run out")
