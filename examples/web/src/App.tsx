import { useCallback, useState } from "react";

import type { Server } from "./api/server";
import { ChatPage } from "./components/ChatPage";
import { Login } from "./components/Login";
import { beginThread, savedServer, saveServer, threadOfAddress } from "./session";

export function App() {
  const [server, setServer] = useState<Server | null>(savedServer);
  const [thread, setThread] = useState(threadOfAddress);
  const [refused, setRefused] = useState("");

  const enter = (entered: Server) => {
    saveServer(entered);
    setRefused("");
    setServer(entered);
  };
  const leave = useCallback((why: string) => {
    saveServer(null);
    setRefused(why);
    setServer(null);
  }, []);

  if (!server) return <Login refused={refused} onEnter={enter} />;
  return (
    // A new key is a new page: nothing of one thread is left in another.
    <ChatPage
      key={thread}
      server={server}
      thread={thread}
      onNewThread={() => setThread(beginThread())}
      onLeave={leave}
    />
  );
}
