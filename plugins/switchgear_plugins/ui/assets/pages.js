// The console's own pages. Each is a module with `show(element, api, below)`, as those of other plugins are.
export const GROUPS = ["Resources", "Access", "Integrations", "Testing", "Operations"];

export const PAGES = [
  { slug: "overview", title: "Overview" },
  { slug: "setup", title: "Setup" },
  { slug: "live", title: "Live requests" },
  { slug: "requests", title: "Request log" },
  { slug: "playground", title: "Playground", group: "Testing" },
  { slug: "simulate", title: "Simulate a request", group: "Testing" },
  { slug: "usage", title: "Usage and cost", group: "Operations" },
  { slug: "limits", title: "Limits", group: "Access" },
  { slug: "health", title: "Health", group: "Operations" },
  { slug: "plugins", title: "Plugins", group: "Operations" },
  { slug: "settings", title: "Settings", group: "Operations" },
  { slug: "account", title: "Your account", hidden: true },
  { slug: "k", title: "Resources", hidden: true, module: "kind" },
];
