import { type FormEvent, useState } from "react";

import { sentenceOf } from "../api/errors";
import type { ConsoleConfig } from "../api/types";
import { Button } from "../ui/Button";
import { Choice, TextField } from "../ui/fields";
import { Alert } from "../ui/states";
import { leaveForProvider } from "./oidc";
import { signIn } from "./session";

const KINDS = [
  { value: "api-key", name: "API key" },
  { value: "token", name: "Bearer token" },
] as const;

type Kind = (typeof KINDS)[number]["value"];

/** Asks for what the API takes: an API key, a token, or a sign-in at the OpenID provider. */
export function SignIn({ config, why }: { config: ConsoleConfig; why: string | null }) {
  const { auth, oidc } = config;
  const kinds = KINDS.filter(({ value }) => (value === "api-key" ? auth.includes("api-key") : !isOnlyKeys(auth)));
  const [kind, setKind] = useState<Kind>(kinds[0]?.value ?? "token");
  const [secret, setSecret] = useState("");
  const [failed, setFailed] = useState<string | null>(null);

  function submit(event: FormEvent) {
    event.preventDefault();
    const given = secret.trim().replace(/^Bearer\s+/i, "");
    if (given) signIn({ kind, secret: given });
  }

  const said = failed ?? why;
  return (
    <main className="sign-in">
      <h1>Sign in to Relayrun</h1>
      {said && <Alert>{said}</Alert>}
      {oidc && (
        <Button
          kind="primary"
          onClick={() => leaveForProvider(oidc).catch((error: unknown) => setFailed(sentenceOf(error)))}
        >
          Sign in with {new URL(oidc.issuer).host}
        </Button>
      )}
      <form onSubmit={submit}>
        {kinds.length > 1 && <Choice label="With" value={kind} options={kinds} onChange={setKind} />}
        <TextField
          label={kind === "api-key" ? "API key" : "Token"}
          type="password"
          autoComplete="off"
          value={secret}
          onChange={setSecret}
          hint="It is kept in this tab until you close it or sign out."
        />
        <Button type="submit" kind={oidc ? "plain" : "primary"} disabled={!secret.trim()}>
          Sign in
        </Button>
      </form>
    </main>
  );
}

function isOnlyKeys(auth: ConsoleConfig["auth"]): boolean {
  return auth.length > 0 && auth.every((kind) => kind === "api-key");
}
