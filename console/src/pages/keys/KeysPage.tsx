import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { ApiError } from "../../api/errors";
import { Button } from "../../ui/Button";
import { Empty, Page } from "../../ui/Page";
import { Failed, Loading } from "../../ui/states";
import { KeysTable } from "./KeysTable";
import { keysQuery } from "./keys";
import { NewKey } from "./NewKey";

export function KeysPage() {
  const keys = useQuery(keysQuery);
  const [making, setMaking] = useState(false);
  const refused = keys.error instanceof ApiError && keys.error.status === 403 ? keys.error : undefined;
  return (
    <Page
      title="API keys"
      beside={
        keys.data && (
          <Button kind="primary" onClick={() => setMaking(true)}>
            New key
          </Button>
        )
      }
    >
      {refused && <Empty title={refused.message} />}
      {keys.error && !refused && <Failed error={keys.error} retry={() => void keys.refetch()} />}
      {keys.isPending && !keys.error && <Loading what="API keys" />}
      {keys.data?.length === 0 && <Empty title="There are no API keys yet." />}
      {keys.data && keys.data.length > 0 && <KeysTable keys={keys.data} />}
      {making && <NewKey onClose={() => setMaking(false)} />}
    </Page>
  );
}
