// Preact, htm and signals under one roof: what components are written with.
import { h, render, Fragment, Component, createContext } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export { h, render, Fragment, Component, createContext };
export { useState, useEffect, useLayoutEffect, useMemo, useRef, useCallback, useContext, useId } from "../vendor/hooks.js";
export { signal, computed, effect, batch } from "../vendor/signals.js";
export const html = htm.bind(h);

// Joins the names of classes, leaving out what is false.
export const cx = (...names) => names.filter(Boolean).join(" ");
