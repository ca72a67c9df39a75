import { useVirtualizer } from "@tanstack/react-virtual";
import { useMemo, useRef, useState } from "react";

import type { Followed, RunEvent } from "../../api/events";
import { Choice } from "../../ui/fields";
import { JsonView } from "../../ui/JsonView";
import { Empty } from "../../ui/Page";
import { Failed, Loading } from "../../ui/states";
import { duration } from "../../ui/Time";

const ROW_PX = 30;
const EXACT = { dateStyle: "medium", timeStyle: "medium" } as const;

/** The journal of a run. Only the rows in sight are rendered: there may be 10,000 and more. */
export function Events({ followed: { events, connection, error } }: { followed: Followed }) {
  const [mode, setMode] = useState("");
  const [opened, setOpened] = useState<RunEvent | null>(null);
  const names = useMemo(() => [...new Set(events.map(modeOf))].sort(), [events]);
  const shown = useMemo(() => (mode ? events.filter((event) => modeOf(event) === mode) : events), [events, mode]);

  if (error) return <Failed error={error} />;
  if (events.length === 0)
    return connection === "ended" ? <Empty title="It told nothing, or its events have expired." /> : <Loading what="events" />;
  return (
    <div className="events">
      <div className="page-head">
        <p role="status">
          {shown.length.toLocaleString()} events{connection === "ended" ? "" : ", live"}
        </p>
        <Choice
          label="Kind"
          value={mode}
          options={[{ value: "", name: "All" }, ...names.map((name) => ({ value: name, name }))]}
          onChange={setMode}
        />
      </div>
      <List events={shown} begun={events[0]?.at ?? null} opened={opened} onOpen={setOpened} />
      {opened && (
        <section className="card" aria-label={`Event ${opened.id}`}>
          <h3>
            {opened.event} <code>{opened.id}</code>{" "}
            {opened.at !== null && <small>{new Date(opened.at).toLocaleString(undefined, EXACT)}</small>}
          </h3>
          <JsonView label="Data" value={parsed(opened.data)} />
        </section>
      )}
    </div>
  );
}

interface ListProps {
  events: RunEvent[];
  /** When the first one was written. */
  begun: number | null;
  opened: RunEvent | null;
  onOpen: (event: RunEvent) => void;
}

function List({ events, begun, opened, onOpen }: ListProps) {
  const frame = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: events.length,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW_PX,
    overscan: 12,
  });
  return (
    <div ref={frame} className="events-frame card" tabIndex={0} role="region" aria-label="Events">
      <div className="events-all" style={{ height: rows.getTotalSize() }}>
        {rows.getVirtualItems().map(({ index, start }) => {
          const event = events[index]!;
          return (
            <button
              key={event.id || index}
              type="button"
              className="event"
              aria-pressed={event === opened}
              style={{ transform: `translateY(${start}px)`, height: ROW_PX }}
              onClick={() => onOpen(event)}
            >
              <span className="event-id" title="Attempt">
                {attemptOf(event)}
              </span>
              <span className="event-at">{event.at !== null && begun !== null && `+${duration(event.at - begun)}`}</span>
              <span className="event-name">{event.event}</span>
              <code>{event.data.slice(0, 300)}</code>
            </button>
          );
        })}
      </div>
    </div>
  );
}

function modeOf({ event }: RunEvent): string {
  return event.split("|", 1)[0]!;
}

/** Ids are `<the run's number in its thread>-<attempt · 2^32 + n>`. */
function attemptOf({ id }: RunEvent): string {
  const attempt = Math.floor(Number.parseInt(id.split("-")[1] ?? "", 10) / 2 ** 32);
  return attempt ? `#${attempt}` : "";
}

function parsed(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return data;
  }
}
