import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useEffect, useState } from "react";

import { configQuery, queryClient } from "../api/queries";
import { sentenceOf } from "../api/errors";
import { page } from "../api/prefix";
import { Failed, Loading } from "../ui/states";
import { finishSignIn, isReturning } from "./oidc";
import { signIn, useSession } from "./session";
import { SignIn } from "./SignIn";

/** The console for those who may come in, and the sign-in for the others. */
export function Entrance({ children }: { children: ReactNode }) {
  const config = useQuery(configQuery);
  const { credentials, refused } = useSession();
  const [returning, setReturning] = useState(isReturning);
  const [failed, setFailed] = useState<string | null>(null);
  useEffect(() => {
    if (!returning) return;
    finish()
      .catch((error: unknown) => {
        setFailed(sentenceOf(error));
        window.history.replaceState(null, "", `${page}/`);
      })
      .finally(() => setReturning(false));
  }, [returning]);
  // What one user has seen is not for the next one.
  useEffect(() => {
    if (credentials === null) queryClient.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== "config" });
  }, [credentials]);

  if (config.error) return <Failed error={config.error} retry={() => void config.refetch()} />;
  if (!config.data || returning) return <Loading what="the console" />;
  if (credentials === null && (refused !== null || !config.data.auth.includes("none")))
    return <SignIn config={config.data} why={failed ?? refused} />;
  return children;
}

let finishing: Promise<void> | null = null;

/** Once, although React's strict mode runs effects twice. */
function finish(): Promise<void> {
  finishing ??= finishSignIn().then(({ tokens, backTo }) => {
    window.history.replaceState(null, "", backTo);
    signIn({ kind: "oidc", ...tokens });
  });
  return finishing;
}
