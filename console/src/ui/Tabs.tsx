import { Tabs as Base } from "@base-ui/react/tabs";
import type { ReactNode } from "react";

interface Props {
  label: string;
  tabs: { name: string; content: ReactNode }[];
  value?: string;
  onChange?: (name: string) => void;
}

export function Tabs({ label, tabs, value, onChange }: Props) {
  // An address may name a tab that is not there.
  const shown = tabs.some(({ name }) => name === value) ? value : tabs[0]?.name;
  return (
    <Base.Root
      className="tabs"
      {...(value === undefined ? { defaultValue: tabs[0]?.name } : { value: shown })}
      onValueChange={(name) => onChange?.(String(name))}
    >
      <Base.List aria-label={label} className="tab-list">
        {tabs.map(({ name }) => (
          <Base.Tab key={name} value={name}>
            {name}
          </Base.Tab>
        ))}
      </Base.List>
      {tabs.map(({ name, content }) => (
        <Base.Panel key={name} value={name}>
          {content}
        </Base.Panel>
      ))}
    </Base.Root>
  );
}
