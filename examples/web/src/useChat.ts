/** A thread as React sees it: the conversation, what is going on, and what a person can do. */

import { useCallback, useEffect, useReducer, useRef, useState } from "react";

import type { Interrupt, Say } from "./api/events";
import { type Beginning, follow } from "./api/follow";
import { load } from "./api/load";
import { call, Problem, type Server } from "./api/server";
import { change, type Conversation, EMPTY } from "./conversation";

export type Activity = "loading" | "idle" | "answering" | "reconnecting" | "unreachable";

export interface Chat {
  conversation: Conversation;
  activity: Activity;
  /** Whether the message was taken. */
  say: (text: string) => Promise<boolean>;
  answer: (interrupt: Interrupt, value: unknown) => Promise<boolean>;
  stop: () => void;
  reload: () => void;
}

/** How following a run ended: whether there was one, and why it could not be followed to its end. */
interface Heard {
  begun: boolean;
  problem: Problem | null;
}

export function useChat(server: Server, thread: string, onRefused: (why: string) => void): Chat {
  const [conversation, dispatch] = useReducer(change, EMPTY);
  const [activity, setActivity] = useState<Activity>("loading");
  const [loads, setLoads] = useState(0);
  const run = useRef<string | null>(null);
  const leaving = useRef(new AbortController());

  const hear = useCallback(
    async (beginning: Beginning, signal: AbortSignal): Promise<Heard> => {
      let begun = false;
      const onConnection = (connected: boolean) => setActivity(connected ? "answering" : "reconnecting");
      setActivity("answering");
      try {
        for await (const event of follow(server, beginning, { signal, onConnection })) {
          begun = true;
          if (event.type === "start") run.current = event.run_id;
          dispatch({ type: "told", event });
        }
        return { begun, problem: null };
      } catch (error) {
        if (signal.aborted) return { begun, problem: null };
        if (error instanceof Problem) return { begun, problem: error };
        throw error;
      } finally {
        run.current = null;
        if (!signal.aborted) setActivity("idle");
      }
    },
    [server],
  );

  useEffect(() => {
    const controller = (leaving.current = new AbortController());
    const { signal } = controller;
    const begin = async () => {
      setActivity("loading");
      try {
        const loaded = await load(server, thread, signal);
        dispatch({ type: "loaded", loaded });
        setActivity("idle");
        if (loaded.running) await hear({ location: loaded.running }, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof Problem)) return setActivity("unreachable");
        if (error.status === 401) return onRefused(error.message);
        dispatch({ type: "failed", text: error.message });
        setActivity("idle");
      }
    };
    void begin();
    return () => controller.abort();
  }, [server, thread, loads, hear, onRefused]);

  const send = async (say: Say): Promise<boolean> => {
    const { begun, problem } = await hear({ thread, say }, leaving.current.signal);
    if (!problem) return true;
    if (problem.status === 401) onRefused(problem.message);
    if (Array.isArray(problem.body.interrupts)) dispatch({ type: "waits", interrupts: problem.body.interrupts });
    dispatch({ type: "failed", text: problem.message });
    return begun;
  };

  return {
    conversation,
    activity,
    say: async (message) => {
      const id = `said-${Date.now()}`;
      dispatch({ type: "said", id, text: message });
      const taken = await send({ message });
      if (!taken) dispatch({ type: "unsaid", id });
      return taken;
    },
    answer: async (interrupt, value) => {
      dispatch({ type: "answered", id: interrupt.id });
      const taken = await send({ resume: { [interrupt.id]: value } });
      if (!taken) dispatch({ type: "waits", interrupts: [interrupt] });
      return taken;
    },
    stop: () => {
      // The stream tells how that ended.
      if (run.current) void call(server, `/runs/${run.current}`, { method: "DELETE" }).catch(() => undefined);
    },
    reload: () => setLoads((count) => count + 1),
  };
}
