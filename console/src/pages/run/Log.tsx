import { useVirtualizer } from "@tanstack/react-virtual";
import { useRef } from "react";

import { passes } from "../../api/errors";
import { type Run, stateOf } from "../../api/runs";
import { isActive } from "../../api/states";
import { Empty } from "../../ui/Page";
import { Failed, Loading, Reconnecting } from "../../ui/states";
import { type LogLine, useLog } from "./useLog";

const ROW_PX = 26;

/** What the run's code printed and logged. */
export function Log({ run }: { run: Run }) {
  const active = isActive(stateOf(run));
  const { lines, error, isRead } = useLog(run, active);
  if (error && !passes(error)) return <Failed error={error} />;
  return (
    <>
      <Reconnecting shown={error !== null} />
      {!isRead && !error && <Loading what="the log" />}
      {isRead && lines.length === 0 && (
        <Empty title={active ? "Its code has printed and logged nothing yet." : "Its code printed and logged nothing, or that has expired."} />
      )}
      {lines.length > 0 && <Lines lines={lines} />}
    </>
  );
}

function Lines({ lines }: { lines: LogLine[] }) {
  const frame = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: lines.length,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW_PX,
    overscan: 12,
  });
  return (
    <div ref={frame} className="events-frame card" tabIndex={0} role="region" aria-label="Log">
      <div className="events-all" style={{ height: rows.getTotalSize() }}>
        {rows.getVirtualItems().map(({ index, start }) => (
          <Line key={index} index={index} line={lines[index]!} start={start} measure={rows.measureElement} />
        ))}
      </div>
    </div>
  );
}

interface LineProps {
  index: number;
  line: LogLine;
  start: number;
  measure: (element: HTMLElement | null) => void;
}

function Line({ index, line, start, measure }: LineProps) {
  const { attempt, node, level, source, logger, time, text } = line;
  const kind = level ?? source;
  return (
    <div ref={measure} data-index={index} className="log-line" style={{ transform: `translateY(${start}px)` }}>
      <time dateTime={time}>{new Date(time).toLocaleTimeString()}</time>
      <span>#{attempt}</span>
      <span>{node ?? ""}</span>
      <span className={`log-kind log-${kind}`} title={logger ?? undefined}>
        {kind}
      </span>
      <code>{text}</code>
    </div>
  );
}
