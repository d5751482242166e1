<?php
// What the installation page does, once.
define('WP_INSTALLING', true);
require '/var/www/html/wp-load.php';
require '/var/www/html/wp-admin/includes/upgrade.php';
if (!is_blog_installed()) {
    wp_install('A blog that moves', 'admin', 'admin@example.com', false, '', getenv('ADMIN_PASSWORD'));
    echo "WordPress is installed\n";
}
