// The trash.

import "./local-time.js";
import "./log-out.js";
