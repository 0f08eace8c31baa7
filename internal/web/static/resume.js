// The page that holds a form until its sender is let in again. The server reads its form.

import "./show-password.js";
