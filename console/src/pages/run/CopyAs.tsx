import { origin } from "../../api/client";
import type { Run } from "../../api/runs";
import { Copy } from "../../ui/Copy";
import { Dialog } from "../../ui/Dialog";
import { Tabs } from "../../ui/Tabs";
import { agentRun, curl, javascript, python } from "./snippets";

const LANGUAGES = [
  { name: "curl", write: curl },
  { name: "Python", write: python },
  { name: "JavaScript", write: javascript },
  { name: "AgentRun", write: agentRun },
];

/** The same run, to be started from elsewhere. Tokens are not in it. */
export function CopyAs({ run, open, onClose }: { run: Run; open: boolean; onClose: () => void }) {
  return (
    <Dialog title="Start the same run" open={open} onClose={onClose}>
      <Tabs
        label="Language"
        tabs={LANGUAGES.map(({ name, write }) => {
          const text = write(run, origin);
          const content = (
            <>
              <pre tabIndex={0} role="region" aria-label={name}>
                {text}
              </pre>
              <Copy text={text} />
            </>
          );
          return { name, content };
        })}
      />
    </Dialog>
  );
}
