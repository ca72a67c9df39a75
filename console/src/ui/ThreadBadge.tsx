import type { ThreadStatus } from "../api/threads";

const LOOKS: Record<ThreadStatus, { look: string; sign: string; name: string }> = {
  idle: { look: "success", sign: "✓", name: "idle" },
  busy: { look: "running", sign: "▶", name: "busy" },
  interrupted: { look: "interrupted", sign: "?", name: "interrupted" },
  error: { look: "error", sign: "✕", name: "error" },
};

export function ThreadBadge({ status }: { status: ThreadStatus }) {
  const { look, sign, name } = LOOKS[status];
  return (
    <span className={`state state-${look}`}>
      <span aria-hidden="true">{sign}</span> {name}
    </span>
  );
}
