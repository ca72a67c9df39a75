import { useMemo, useState } from "react";

import { Button } from "./Button";
import { Copy } from "./Copy";

/** So much is shown at first, in characters: browsers are slow to lay out more. */
const MOST = 20_000;

/** Any JSON, indented. */
export function JsonView({ label, value }: { label: string; value: unknown }) {
  const [all, setAll] = useState(false);
  const text = useMemo(() => JSON.stringify(value, null, 2) ?? "nothing", [value]);
  const cut = text.length > MOST && !all;
  return (
    <div className="json">
      <pre tabIndex={0} role="region" aria-label={label}>
        {cut ? `${text.slice(0, MOST)}…` : text}
      </pre>
      <div className="actions">
        <Copy text={text} />
        {cut && (
          <Button kind="quiet" onClick={() => setAll(true)}>
            Show all {Math.round(text.length / 1000)} kB
          </Button>
        )}
      </div>
    </div>
  );
}
