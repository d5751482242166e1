<?php
// Behind the cluster's proxies: the address is the one that the visitor used.
$scheme = ($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? 'http') === 'https' ? 'https' : 'http';
if ($scheme === 'https') { $_SERVER['HTTPS'] = 'on'; }
$host = $_SERVER['HTTP_HOST'] ?? 'wordpress.example.com';
define('WP_HOME', "$scheme://$host");
define('WP_SITEURL', "$scheme://$host");
define('DB_NAME', 'wordpress');
define('DB_USER', 'wordpress');
define('DB_PASSWORD', getenv('DB_PASSWORD'));
define('DB_HOST', 'db');
define('DB_CHARSET', 'utf8mb4');
define('DISABLE_WP_CRON', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
define('WP_HTTP_BLOCK_EXTERNAL', true);
foreach (['AUTH_KEY', 'SECURE_AUTH_KEY', 'LOGGED_IN_KEY', 'NONCE_KEY', 'AUTH_SALT', 'SECURE_AUTH_SALT', 'LOGGED_IN_SALT', 'NONCE_SALT'] as $name) {
    define($name, hash('sha256', $name . getenv('DB_PASSWORD')));
}
$table_prefix = 'wp_';
if (!defined('ABSPATH')) { define('ABSPATH', '/var/www/html/'); }
require_once ABSPATH . 'wp-settings.php';
