const found = /^(.*?)((?:\/relayrun)?\/console)(?:\/.*)?$/.exec(window.location.pathname);

/** What stands in front of all paths, where the API is mounted below one: `/agents` of `/agents/console/threads`. */
export const prefix = found?.[1] ?? "";
/** Where this page is: an agent's own app may have `/console`. */
export const page = `${prefix}${found?.[2] ?? "/console"}`;
/** In front of the routes that an agent's own app may have in their place. */
export const OWN = "/relayrun";
