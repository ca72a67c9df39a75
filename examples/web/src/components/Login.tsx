import { type FormEvent, useId } from "react";

import type { Server } from "../api/server";
import { DEFAULT_URL } from "../session";

interface Props {
  /** Why the API let nobody in with the last token. */
  refused: string;
  onEnter: (server: Server) => void;
}

export function Login({ refused, onEnter }: Props) {
  const id = useId();
  const enter = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    onEnter({ url: String(given.get("url")).trim(), token: String(given.get("token")).trim() });
  };
  return (
    <main className="login">
      <form onSubmit={enter}>
        <h1>Chat</h1>
        {refused && <p role="alert">{refused}</p>}
        <label htmlFor={`${id}-token`}>Token or user name</label>
        <input
          id={`${id}-token`}
          name="token"
          type="password"
          autoComplete="current-password"
          autoFocus
          aria-describedby={`${id}-hint`}
        />
        <p id={`${id}-hint`} className="hint">
          Leave it empty where the API asks nobody, as <code>relayrun dev</code> does.
        </p>
        <label htmlFor={`${id}-url`}>Address of the API</label>
        <input id={`${id}-url`} name="url" type="url" required defaultValue={DEFAULT_URL} />
        <button type="submit" className="primary">
          Begin
        </button>
      </form>
    </main>
  );
}
