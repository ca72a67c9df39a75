/** The nodes that a run pauses before, and those that it pauses after. */
export interface Pauses {
  before: string[];
  after: string[];
}

interface Props {
  steps: string[];
  pauses: Pauses;
  onChange: (pauses: Pauses) => void;
}

const SIDES = ["before", "after"] as const;

export function Breakpoints({ steps, pauses, onChange }: Props) {
  const count = pauses.before.length + pauses.after.length;
  const toggle = (side: "before" | "after", step: string) => {
    const list = pauses[side];
    onChange({ ...pauses, [side]: list.includes(step) ? list.filter((one) => one !== step) : [...list, step] });
  };
  return (
    <details>
      <summary>Pause at nodes{count > 0 && ` (${count})`}</summary>
      <div className="table-frame">
        <table className="pauses">
          <thead>
            <tr>
              <th scope="col">Node</th>
              <th scope="col">Before</th>
              <th scope="col">After</th>
            </tr>
          </thead>
          <tbody>
            {steps.map((step) => (
              <tr key={step}>
                <th scope="row">{step}</th>
                {SIDES.map((side) => (
                  <td key={side}>
                    <input
                      type="checkbox"
                      aria-label={`Pause ${side} ${step}`}
                      checked={pauses[side].includes(step)}
                      onChange={() => toggle(side, step)}
                    />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
