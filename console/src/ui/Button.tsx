import { Button as Base } from "@base-ui/react/button";
import type { ComponentProps } from "react";

interface Props extends ComponentProps<typeof Base> {
  kind?: "plain" | "primary" | "danger" | "quiet";
}

export function Button({ kind = "plain", className = "", ...rest }: Props) {
  return <Base className={`button button-${kind} ${className}`} {...rest} />;
}
