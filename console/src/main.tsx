import "./styles/index.css";

import { CSPProvider } from "@base-ui/react/csp-provider";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { queryClient } from "./api/queries";
import { Entrance } from "./auth/Entrance";
import { router } from "./routes";
import { applyTheme } from "./theme/theme";
import { Notices } from "./ui/Notices";

applyTheme();
createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <CSPProvider disableStyleElements>
      <QueryClientProvider client={queryClient}>
        <Notices>
          <Entrance>
            <RouterProvider router={router} />
          </Entrance>
        </Notices>
      </QueryClientProvider>
    </CSPProvider>
  </StrictMode>,
);
