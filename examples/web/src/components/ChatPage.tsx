import type { Server } from "../api/server";
import { useChat } from "../useChat";
import { Announcer } from "./Announcer";
import { Composer } from "./Composer";
import { Log } from "./Log";

interface Props {
  server: Server;
  thread: string;
  onNewThread: () => void;
  onLeave: (why: string) => void;
}

const STATES = {
  loading: "Loading…",
  idle: "",
  answering: "Answering…",
  reconnecting: "Connection lost. Reconnecting…",
  unreachable: "",
} as const;

export function ChatPage({ server, thread, onNewThread, onLeave }: Props) {
  const chat = useChat(server, thread, onLeave);
  const { conversation, activity } = chat;
  const waits = conversation.interrupts.length > 0;
  return (
    <div className="page">
      <header>
        <h1>Chat</h1>
        <span className="thread">{thread}</span>
        <button type="button" onClick={onNewThread}>
          New thread
        </button>
        <button type="button" onClick={() => onLeave("")}>
          {server.token ? "Sign out" : "Leave"}
        </button>
      </header>
      {activity === "unreachable" ? (
        <main className="unreachable" role="alert">
          <p>
            The API at <code>{server.url}</code> does not answer. Is <code>relayrun dev</code> running, and may this
            page's origin call it?
          </p>
          <button type="button" className="primary" onClick={chat.reload}>
            Try again
          </button>
        </main>
      ) : (
        <Log
          conversation={conversation}
          activity={activity}
          onAnswer={(interrupt, value) => void chat.answer(interrupt, value)}
          onSuggestion={(text) => void chat.say(text)}
        />
      )}
      <footer>
        <p className={`state ${activity}`} role="status">
          {STATES[activity]}
        </p>
        <Composer
          ready={activity === "idle" && !waits}
          hint={waits ? "Answer the question above first." : ""}
          answering={activity === "answering" || activity === "reconnecting"}
          onSay={chat.say}
          onStop={chat.stop}
        />
      </footer>
      <Announcer conversation={conversation} />
    </div>
  );
}
